"""recpipe: from movie-watching data to the ten films that every user will watch."""

__version__ = "0.1.0"
