(function () {
  var doc = document, win = window, opened = doc.body.getAttribute('data-opened'), relation = id('relation-box');
  function id(name) { return doc.getElementById(name); }
  function each(list, act) { [].forEach.call(list, act); }
  function on(what, names, act, options) { each(names.split(' '), function (name) { what.addEventListener(name, act, options || false); }); }

  // Opened: said once, and only of a page that somebody can see; a programme that fetches links ahead says nothing.
  function sayOpened() {
    var url = opened, asked = new XMLHttpRequest();
    if (!url || doc.hidden) { return; }
    opened = null;
    if (navigator.sendBeacon && navigator.sendBeacon(url)) { return; }
    asked.open('POST', url, true);
    asked.send();
  }

  // A second tap while the first is under way does nothing; coming back to the page makes the button good again.
  function guard(form) {
    var button = form.querySelector('button.main'), words = button && button.textContent, busy = false;
    function again() { busy = false; if (button) { button.disabled = false; button.textContent = words; } }
    on(form, 'submit', function (event) {
      if (busy) { event.preventDefault(); }
      if (event.defaultPrevented) { return; }
      busy = true;
      setTimeout(function () { if (button) { button.disabled = true; button.textContent = doc.body.getAttribute('data-busy'); } }, 0);
      setTimeout(again, 20000);
    });
    on(win, 'pageshow', again);
  }

  // In what relation he stands is asked of an agent only.
  function ask() { relation.hidden = !id('capacity-agent').checked; }

  // The drawing: strokes of [x, y, milliseconds] on a field of 1000 x 400, one pointer at a time, drawn anew from the data.
  function drawing(pad, pen) {
    var box = id('pad-box'), ink = id('ink'), fault = id('pad-fault'), strokes = [], stroke = null, held = null, began = 0, points = 0, firm = { passive: false };
    try { strokes = JSON.parse(ink.value) || []; } catch (error) { strokes = []; }
    each(strokes, function (old) { points += old.length; began = Date.now() - old[old.length - 1][2]; });
    function redraw() {
      var width = pad.clientWidth, ratio = win.devicePixelRatio || 1, scale = width / 1000;
      if (!width) { return; }
      pad.style.height = width * 0.4 + 'px';
      pad.width = width * ratio;
      pad.height = width * 0.4 * ratio;
      pen.setTransform(ratio * scale, 0, 0, ratio * scale, 0, 0);
      pen.lineWidth = 3.5 / scale;
      pen.lineCap = pen.lineJoin = 'round';
      pen.beginPath();
      each(strokes, function (dots) { each(dots, function (dot, at) { if (!at) { pen.moveTo(dot[0] - 0.1, dot[1]); } pen.lineTo(dot[0], dot[1]); }); });
      pen.stroke();
    }
    function keep() { ink.value = strokes.length ? JSON.stringify(strokes) : ''; fault.hidden = true; redraw(); }
    function show(yes) { box.hidden = !yes; id('pad-show').setAttribute('aria-expanded', String(yes)); redraw(); }
    function add(x, y) {
      var edge = pad.getBoundingClientRect(), last = stroke[stroke.length - 1], dot = [within((x - edge.left) / edge.width, 1000), within((y - edge.top) / edge.height, 400)];
      if (points >= 3500 || last && way(last, dot) < 3) { return; }
      began = began || Date.now();
      points += 1;
      stroke.push(dot.concat(Math.max(0, Date.now() - began)));
      redraw();
    }
    function down(name, x, y) { if (held === null && points < 3500) { held = name; stroke = []; strokes.push(stroke); add(x, y); } }
    function move(name, x, y) { if (held === name) { add(x, y); } }
    function up(name) { if (held === name) { held = null; keep(); } }
    function within(part, most) { return Math.round(Math.min(1, Math.max(0, part)) * most); }
    function way(one, two) { return Math.abs(one[0] - two[0]) + Math.abs(one[1] - two[1]); }
    function far(sum, dots) { return dots.reduce(function (so, dot, at) { return at ? so + way(dot, dots[at - 1]) : so; }, sum); }
    function stop(event) { if (event.cancelable !== false) { event.preventDefault(); } }
    function fingers(act) { return function (event) { stop(event); each(event.changedTouches, function (one) { act(one.identifier, one.clientX, one.clientY); }); }; }
    function pointer(act) { return function (event) { act(event.pointerId, event.clientX, event.clientY); }; }
    if (win.PointerEvent) {
      on(pad, 'pointerdown', function (event) { pointer(down)(event); try { pad.setPointerCapture(event.pointerId); } catch (error) { return; } });
      on(pad, 'pointermove', pointer(move));
      on(pad, 'pointerup pointercancel', pointer(up));
      on(pad, 'touchstart touchmove', stop, firm);
    } else {
      on(pad, 'touchstart', fingers(down), firm);
      on(pad, 'touchmove', fingers(move), firm);
      on(pad, 'touchend touchcancel', fingers(up), firm);
    }
    on(id('pad-undo'), 'click', function () { points -= (strokes.pop() || []).length; keep(); });
    on(id('pad-clear'), 'click', function () { strokes = []; points = began = 0; keep(); });
    on(id('pad-show'), 'click', function () { show(box.hidden); });
    on(win, 'resize orientationchange pageshow', redraw);
    on(ink.form, 'submit', function (event) {
      if (!strokes.length || points >= 8 && strokes.reduce(far, 0) >= 200) { return; }
      event.preventDefault();
      show(true);
      fault.hidden = false;
      fault.focus();
    });
    show(strokes.length > 0);
    id('pad-offer').hidden = false;
  }

  on(doc, 'visibilitychange', sayOpened);
  sayOpened();
  if (relation) { each(doc.getElementsByName('capacity'), function (one) { on(one, 'change', ask); }); on(win, 'pageshow', ask); ask(); }
  if (id('pad') && id('pad').getContext) { drawing(id('pad'), id('pad').getContext('2d')); }
  each(doc.forms, guard);
  if (id('faults') || id('done')) { (id('faults') || id('done')).focus(); }
})();
