"""A cache of answers, by equal requests and by similar ones, whose rate of false hits is bounded."""
