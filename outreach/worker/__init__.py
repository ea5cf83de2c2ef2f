"""Celery, the bell: its messages only say that there may be work. Every task is thin, may be lost, and may come twice."""
