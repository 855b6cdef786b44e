"""Training, export and evaluation of Understudy's own networks."""
