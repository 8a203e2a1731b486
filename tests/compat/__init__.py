"""The programs that the gateway works with, run against it: Keystone, freezerclient, tempest."""
