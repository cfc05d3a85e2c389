"""The whole journey: every stage after the other, each recorded, so that a killed run goes on."""
