"""What the containers of `docker-compose.yml` need before the first of them does its work."""
