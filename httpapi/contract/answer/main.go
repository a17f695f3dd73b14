// Command answer serves the family's routes and answers every request at once,
// with the same answer: the fastest server that their clients could have. It says
// where it listens, and ends when its standard input does.
package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

const id = "0197a3c1-7d1c-7f43-9b1a-3c5d8e2f4a60"

func main() {
	two := base64.StdEncoding.EncodeToString([]byte("\x80\x04K\x02.")) + `\n`
	answers := map[string]string{
		"POST /register_function": fmt.Sprintf(`{"function_id":%q}`, id),
		"POST /execute_function":  fmt.Sprintf(`{"task_id":%q}`, id),
		"GET /result/{id}":        fmt.Sprintf(`{"task_id":%q,"status":"COMPLETED","result":"%s"}`, id, two),
	}
	mux := http.NewServeMux()
	for route, answer := range answers {
		mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, answer)
		})
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("http://" + listener.Addr().String())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Fprintln(os.Stderr, http.Serve(listener, mux))
	os.Exit(1)
}
