"""What every notebook of the course shares; see the modules, from config (lowest) to lesson (highest)."""
