package sqlstore

// Text returns a statement of s.
func Text(s *Store, name string) string {
	texts, err := s.dialect.texts(s.names)
	if err != nil {
		panic(err)
	}
	return texts[name]
}
