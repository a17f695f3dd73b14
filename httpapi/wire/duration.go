package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Duration is a time span on the wire: written as Go writes one ("1m30s"),
// read in that form or as a number of seconds.
type Duration time.Duration

// MarshalText writes d as Go text.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads "1m30s" or a number of seconds such as "90" or "0.5".
func (d *Duration) UnmarshalText(text []byte) error {
	if seconds, err := strconv.ParseFloat(string(text), 64); err == nil {
		return d.setSeconds(seconds)
	}
	span, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration; write 30s, 1m30s or a number of seconds", clip(string(text)))
	}
	*d = Duration(span)
	return nil
}

// UnmarshalJSON reads a string as UnmarshalText does, or a number of seconds.
func (d *Duration) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	if len(data) > 0 && data[0] == '"' {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		return d.UnmarshalText([]byte(text))
	}
	seconds, err := strconv.ParseFloat(string(data), 64)
	if err != nil {
		return fmt.Errorf("%s is no duration; write \"30s\" or a number of seconds", clip(string(data)))
	}
	return d.setSeconds(seconds)
}

func (d *Duration) setSeconds(seconds float64) error {
	if math.IsNaN(seconds) || math.Abs(seconds) > math.MaxInt64/float64(time.Second)/2 {
		return fmt.Errorf("%v seconds is out of range", seconds)
	}
	*d = Duration(seconds * float64(time.Second))
	return nil
}

func clip(text string) string {
	if len(text) > 40 {
		return text[:40] + "…"
	}
	return text
}
