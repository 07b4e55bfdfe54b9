"""aziot: Azure IoT for MicroPython. DPS and IoT Hub over MQTT, import the module you need."""
