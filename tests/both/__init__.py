"""What both surfaces have in common, and the service layer below them."""
