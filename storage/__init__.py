"""Tables and files: the store, its schema, and the formats that go in and out."""
