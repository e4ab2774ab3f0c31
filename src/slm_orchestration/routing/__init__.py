"""Routers predict how good each answer will be; rules turn that into a choice; replay turns choices into decisions."""
