module vectorvisor

go 1.24.0
