package seal

// Marshal returns the content of the keys' file.
func (k *Keys) Marshal() ([]byte, error) { return k.marshal() }
