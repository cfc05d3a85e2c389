"""The conditional GAN: networks, objectives, augmentation, training and watching."""
