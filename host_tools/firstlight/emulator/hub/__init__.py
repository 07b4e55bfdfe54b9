"""IoT Hub: its registry, twins, messages and methods, its REST APIs. No I/O."""
