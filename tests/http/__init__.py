"""The real server over sockets: requests as bytes, and how long they may take."""
