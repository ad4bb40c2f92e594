// Strings-AssemblyScript: the words of tweets without stop words, and their hashtags. Its answers are those of ../go.
import { JSON } from "json-as";
import { serve } from "./vectorvisor";

@json
class Request {
  tweets: string[] = [];
}

@json
class Answer {
  tokenized: string[][] = [];
  hashtags: string[][] = [];
}

const stopWords =
  "a about above after again against all am an and any are as at be because been before being below between both " +
  "but by can did do does doing down during each few for from further had has have having he her here hers " +
  "herself him himself his how i if in into is it its itself just me more most my myself no nor not now of off on " +
  "once only or other our ours ourselves out over own same she should so some such than that the their theirs " +
  "them themselves then there these they this those through to too under until up very was we were what when " +
  "where which while who whom why will with you your yours yourself yourselves it's don't can't isn't wasn't";

const stop = new Set<string>();
const words = stopWords.split(" ");
for (let i = 0; i < words.length; i++) stop.add(words[i]);

serve(64 << 10, (request: Uint8Array): Uint8Array => {
  const tweets = JSON.parse<Request>(String.UTF8.decode(request.buffer)).tweets;
  const answer = new Answer();
  for (let i = 0; i < tweets.length; i++) {
    const kept = tweets[i].split(" ").filter((word) => !stop.has(word));
    answer.tokenized.push(kept);
    answer.hashtags.push(kept.filter((word) => word.length > 1 && word.charCodeAt(0) == 35));
  }
  return Uint8Array.wrap(String.UTF8.encode(JSON.stringify(answer)));
});
