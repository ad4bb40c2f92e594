//go:build !wasip1

package vectorvisor

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// Most bytes of a batch.
const batch = 64 << 20

// Serve answers HTTP requests of at most room bytes, for ever, with the paths that the server of the Rust SDK has, but for
// /metrics, and batches in one of the three forms. It listens on what the environment variable VECTORVISOR_LISTEN says, or on
// 127.0.0.1:8080. As in VectorVisor the handler does not get a request of no bytes: the answer has none, either.
func Serve(room int, handle func(request []byte) []byte) {
	handler := func(request []byte) []byte {
		if len(request) == 0 {
			return nil
		}
		return handle(request)
	}
	address := os.Getenv("VECTORVISOR_LISTEN")
	if address == "" {
		address = "127.0.0.1:8080"
	}
	one := func(writer http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(writer, request.Body, int64(room)))
		if err != nil {
			http.Error(writer, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		writer.Write(handler(body))
	}
	tell := func(text string) http.HandlerFunc {
		return func(writer http.ResponseWriter, _ *http.Request) { io.WriteString(writer, text) }
	}
	many := func(writer http.ResponseWriter, request *http.Request) { many(writer, request, room, handler) }
	// Its name may be what a pattern cannot have.
	name := filepath.Base(os.Args[0])
	named := func(handle http.HandlerFunc) http.HandlerFunc {
		return func(writer http.ResponseWriter, request *http.Request) {
			if request.PathValue("name") != name {
				http.NotFound(writer, request)
				return
			}
			handle(writer, request)
		}
	}
	http.HandleFunc("POST /{$}", one)
	http.HandleFunc("POST /{name}", named(one))
	http.HandleFunc("/batch_submit/{$}", one)
	http.HandleFunc("GET /is_active/{$}", tell("true"))
	http.HandleFunc("GET /healthz", tell("ok\n"))
	http.HandleFunc("GET /readyz", tell("ready\n"))
	http.HandleFunc("POST /batch", many)
	http.HandleFunc("POST /{name}/batch", named(many))
	listener, err := net.Listen("tcp", address)
	if err == nil {
		fmt.Fprintf(os.Stderr, "listening on http://%s; POST /%s\n", listener.Addr(), name)
		err = http.Serve(listener, nil)
	}
	fmt.Fprintf(os.Stderr, "cannot serve on %s: %v\n", address, err)
	os.Exit(1)
}

// Requests that are each a length, 4 bytes, least significant first, and so many bytes. An answer is its request's number, a
// status and a length, 4 bytes each, and so many bytes.
func many(writer http.ResponseWriter, request *http.Request, room int, handler func(request []byte) []byte) {
	if request.Header.Get("Content-Type") != "application/octet-stream" {
		http.Error(writer, "a batch is application/octet-stream here", http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(writer, request.Body, batch))
	if err != nil {
		http.Error(writer, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	var requests [][]byte
	for len(body) > 0 {
		if len(body) < 4 || uint64(binary.LittleEndian.Uint32(body)) > uint64(len(body)-4) {
			http.Error(writer, "the body ended within a request", http.StatusBadRequest)
			return
		}
		end := 4 + int(binary.LittleEndian.Uint32(body))
		requests = append(requests, body[4:end])
		body = body[end:]
	}
	answers, next := make([][]byte, len(requests)), make(chan int)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(requests)) {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for index := range next {
				if len(requests[index]) <= room {
					answers[index] = handler(requests[index])
				}
			}
		}()
	}
	for index := range requests {
		next <- index
	}
	close(next)
	workers.Wait()
	var all []byte
	for index, answer := range answers {
		status := uint32(http.StatusOK)
		if len(requests[index]) > room {
			status, answer = http.StatusRequestEntityTooLarge, []byte("the request is too long")
		}
		for _, word := range []uint32{uint32(index), status, uint32(len(answer))} {
			all = binary.LittleEndian.AppendUint32(all, word)
		}
		all = append(all, answer...)
	}
	writer.Header().Set("Content-Type", "application/octet-stream")
	writer.Write(all)
}

// Barrier does nothing: threads need not go on together.
func Barrier() {}
