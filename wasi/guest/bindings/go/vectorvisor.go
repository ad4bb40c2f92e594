//go:build wasip1

// Package vectorvisor serves requests in a loop, in VectorVisor. Build with GOOS=wasip1 GOARCH=wasm. Built natively, it is
// an HTTP server, to compare with.
package vectorvisor

import "unsafe"

//go:wasmimport env serverless_invoke
func invoke(buffer unsafe.Pointer, length uint32) uint32

//go:wasmimport env serverless_response
func response(answer unsafe.Pointer, length uint32)

//go:wasmimport env vectorvisor_barrier
func barrier()

// Serve answers requests of at most room bytes, for ever. Longer ones are refused to their senders.
func Serve(room int, handler func(request []byte) []byte) {
	buffer := make([]byte, room)
	for {
		length := invoke(unsafe.Pointer(unsafe.SliceData(buffer)), uint32(room))
		var answer []byte
		if length > 0 {
			answer = handler(buffer[:length])
		}
		response(unsafe.Pointer(unsafe.SliceData(answer)), uint32(len(answer)))
	}
}

// Barrier waits until all VMs that run side by side with this one have come to a barrier or ended.
func Barrier() { barrier() }
