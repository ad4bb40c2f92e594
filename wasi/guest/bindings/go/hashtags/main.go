// Answers a text with its hashtags, a line each.
package main

import (
	"strings"

	"vectorvisor"
)

func main() {
	vectorvisor.Serve(64<<10, func(request []byte) []byte {
		var tags strings.Builder
		for _, word := range strings.Fields(string(request)) {
			if len(word) > 1 && word[0] == '#' {
				tags.WriteString(word)
				tags.WriteByte('\n')
			}
		}
		return []byte(tags.String())
	})
}
