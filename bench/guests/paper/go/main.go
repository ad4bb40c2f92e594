// Strings-Go: the words of tweets without stop words, and their hashtags.
package main

import (
	"encoding/json"
	"strings"

	"vectorvisor"
)

type request struct {
	Tweets []string `json:"tweets"`
}

type answer struct {
	Tokenized [][]string `json:"tokenized"`
	Hashtags  [][]string `json:"hashtags"`
}

const stopWords = `
a about above after again against all am an and any are as at be because been before being below
between both but by can did do does doing down during each few for from further had has have having
he her here hers herself him himself his how i if in into is it its itself just me more most my
myself no nor not now of off on once only or other our ours ourselves out over own same she should
so some such than that the their theirs them themselves then there these they this those through to
too under until up very was we were what when where which while who whom why will with you your
yours yourself yourselves it's don't can't isn't wasn't
`

func main() {
	stop := make(map[string]bool)
	for _, word := range strings.Fields(stopWords) {
		stop[word] = true
	}
	vectorvisor.Serve(64<<10, func(body []byte) []byte {
		var tweets request
		if err := json.Unmarshal(body, &tweets); err != nil {
			return []byte(err.Error())
		}
		words := answer{Tokenized: [][]string{}, Hashtags: [][]string{}}
		for _, tweet := range tweets.Tweets {
			kept, tags := []string{}, []string{}
			for _, word := range strings.Split(tweet, " ") {
				if stop[word] {
					continue
				}
				kept = append(kept, word)
				if len(word) > 1 && word[0] == '#' {
					tags = append(tags, word)
				}
			}
			words.Tokenized = append(words.Tokenized, kept)
			words.Hashtags = append(words.Hashtags, tags)
		}
		made, err := json.Marshal(words)
		if err != nil {
			return []byte(err.Error())
		}
		return made
	})
}
