package httpapi

import (
	"encoding/base64"
	"strings"

	"faasctl/core"
)

// dill64 is MIME base64 as Python's codecs.encode(data, "base64") writes it: a
// line feed after every 76 characters and at the end.

const (
	lineBytes = 57 // make one line
	lineChars = 76
)

func encodeDill64(data []byte) string {
	var out strings.Builder
	out.Grow(base64.StdEncoding.EncodedLen(len(data)) + len(data)/lineBytes + 1)
	line := make([]byte, lineChars+1)
	for len(data) > 0 {
		part := data[:min(lineBytes, len(data))]
		data = data[len(part):]
		n := base64.StdEncoding.EncodedLen(len(part))
		base64.StdEncoding.Encode(line, part)
		line[n] = '\n'
		out.Write(line[:n+1])
	}
	return out.String()
}

// decodeDill64 takes it with or without line feeds.
func decodeDill64(what, text string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, core.Errorf(core.ErrMalformed, "", "the %s is not base64: %s", what, err.Error()).
			WithHint("send codecs.encode(dill.dumps(...), \"base64\").decode()")
	}
	return data, nil
}
