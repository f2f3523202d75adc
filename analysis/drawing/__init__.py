"""What every figure is drawn with: the frame around its panels, lines, pictures, colours, captions."""
