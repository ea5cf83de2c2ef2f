"""The web: pages for enterprises and staff, and the doors for the providers' callbacks. Starlette on uvicorn."""
