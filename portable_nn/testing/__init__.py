"""Tools to test networks, layers and backends with, here and in projects of your own."""
