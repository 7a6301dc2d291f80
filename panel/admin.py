"""Every page of the panel, brought in for the admin to find."""
