"""What the eight modules of utils stand on; nobody has to read it to follow the course."""
