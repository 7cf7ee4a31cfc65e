"""What proxies prove by their answers, and what follows from it for the objects.

``quarantine`` decides which objects go back to older content because proxies rejected the newest.
"""
