"""The project's own scam scripts and honest messages: reading, filling slots, checking."""
