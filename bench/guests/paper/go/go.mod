module strings-go

go 1.24.0

require vectorvisor v0.0.0

replace vectorvisor => ../../../../wasi/guest/bindings/go
