"""Sign-in pages for people. Empty until federation is built."""
