"""Gateways and databases that are killed, restarted and upgraded while clients use them."""
