"""SynSense's Xylo family: Audio 2, Audio 3, IMU."""
