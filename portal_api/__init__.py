"""The portal: a JSON API and server-rendered pages for readers and operators. Routes call services, services call storage."""
