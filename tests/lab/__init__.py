"""The laboratory: the closed loop in virtual time, against receivers that are models."""
