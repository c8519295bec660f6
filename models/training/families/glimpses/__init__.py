"""The trainings of the networks that look again, on handwritten digits: one module each."""
