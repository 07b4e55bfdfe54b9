"""The Device Provisioning Service: what it knows, how it decides, its REST APIs. No I/O."""
