"""The stack of docker-compose.yml, brought up and taken down by Docker Compose."""
