"""Ways in besides the password: a sign-in provider (OpenID Connect), and passkeys."""
