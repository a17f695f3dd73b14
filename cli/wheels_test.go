package cli

import (
	"archive/zip"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// answerWheels makes a directory with the package answers, which holds a VALUE: 41 in
// version 1.0 and 42 in 2.0.
func answerWheels(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for version, value := range map[string]string{"1.0": "41", "2.0": "42"} {
		file, err := os.Create(filepath.Join(dir, "answers-"+version+"-py3-none-any.whl"))
		if err != nil {
			return err
		}
		archive := zip.NewWriter(file)
		info := "answers-" + version + ".dist-info/"
		for path, text := range map[string]string{
			"answers.py": "VALUE = " + value + "\n", info + "METADATA": "Metadata-Version: 2.1\nName: answers\nVersion: " + version + "\n",
			info + "WHEEL":  "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
			info + "RECORD": "answers.py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n",
		} {
			w, err := archive.Create(path)
			if err == nil {
				_, err = io.WriteString(w, text)
			}
			if err != nil {
				return errors.Join(err, file.Close())
			}
		}
		if err := errors.Join(archive.Close(), file.Close()); err != nil {
			return err
		}
	}
	return nil
}
