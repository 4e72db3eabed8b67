"""What the runners share; needs nothing but Python, because each of them lives in an environment of its own."""
