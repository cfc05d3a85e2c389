"""Images: read, encoded, relaxed, augmented, generated, classified and shown."""
