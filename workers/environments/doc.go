// Package environments makes and keeps virtual environments with the packages that
// functions need: one per set of packages and interpreter, made once per host and
// shared by its workers.
//
// Its one rule: a directory with the name of an environment is whole. It is made under
// another name and renamed; who makes it holds a lock, so that two workers do not make
// it twice; and who uses it holds another, so that it is not removed meanwhile.
package environments
