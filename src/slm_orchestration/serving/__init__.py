"""The routers, running: analyse a request, choose models, call them, and say why."""
