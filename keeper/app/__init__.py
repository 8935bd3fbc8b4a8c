"""The daemon: introduces the rooms to each other and runs their loops. It alone knows them all."""
