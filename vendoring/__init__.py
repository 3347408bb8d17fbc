"""What we ship of others for the browser: fetched by npm, held to a lock, prepared when Leadglass is built.

Rule: it happens at a build only. What is installed has the prepared files and
needs neither Node.js nor a registry.
"""
