"""MQTT: packets, conversations, and the server that carries them."""
