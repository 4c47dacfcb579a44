"""The guest kernel that comes with tanken, as source and as binary."""
