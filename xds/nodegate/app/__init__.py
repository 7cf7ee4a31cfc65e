"""The only place where parts are put together: settings in, a running control plane out.

``serve`` runs it as a program; ``listing`` begins to follow a cluster, and while the API server lists, the rest is
imported. ``control_plane`` starts all parts and stops them in the reverse order, ``translation`` and ``endpoint`` make
single parts of settings, ``followed`` says what a source has to do, ``folder`` and ``kubernetes`` are the two that do
it, and ``writing`` is what is written to a cluster. ``sites`` serves HTTP, ``state_folder`` and ``state_cluster`` are
what is kept across restarts, ``once`` translates a folder without serving it, and ``agent`` is the redirect agent.

Nothing is imported here, so that each command imports what it needs.
"""
